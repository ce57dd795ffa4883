resource "datadog_agentless_scanner" "this" {
  name                 = "agentless-scanner"
  image_id             = "ami-0123456789abcdef0"
  subnet_ids           = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn

  settings = {
    scan_interval_hours = 6
    exclude_tags        = { environment = "sandbox" }

    sinks = {
      s3 = {
        bucket = "package-lists"
        prefix = "sbom/"
      }
    }
  }

  # A new image or other settings replace the instances. What fails, or raises the alarm, is put back as it was.
  instance_refresh = {
    bake_time = 600
    alarms    = ["agentless-scanner-errors"]
  }

  # A group in use cannot be deleted: where it is replaced, its scanner is replaced with it.
  lifecycle {
    replace_triggered_by = [datadog_agentless_scanner_security_group.this.id]
  }
}

resource "datadog_agentless_scanner_role" "this" {
  name = "agentless-scanner"

  # Instances report to the scanner's group when they are ready, and when they may go.
  scaling_group_names = ["agentless-scanner"]

  reports = {
    bucket = "package-lists"
    prefix = "sbom/"
  }
}

resource "datadog_agentless_scanner_security_group" "this" {
  name   = "agentless-scanner"
  vpc_id = "vpc-0123456789abcdef0"
}
