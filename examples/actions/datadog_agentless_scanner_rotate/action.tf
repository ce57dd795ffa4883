# By hand: terraform apply -invoke=action.datadog_agentless_scanner_rotate.now
action "datadog_agentless_scanner_rotate" "now" {
  config {
    name    = datadog_agentless_scanner.this.name
    region  = datadog_agentless_scanner.this.region
    timeout = "90m"
  }
}
