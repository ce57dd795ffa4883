# The newest image that this account has built, with a warning when it is older than thirty days.
data "datadog_agentless_scanner_image" "own" {
  max_age = "720h"
}

# The newest one of another account, for processors of Intel and AMD. Its tags cannot be seen.
data "datadog_agentless_scanner_image" "shared" {
  owners       = ["111122223333"]
  architecture = "x86_64"
  name_prefix  = "agentless-scanner-"
}

output "image" {
  value = {
    id      = data.datadog_agentless_scanner_image.own.id
    version = data.datadog_agentless_scanner_image.own.scanner_version
    made    = data.datadog_agentless_scanner_image.own.creation_date
  }
}
