resource "datadog_agentless_scanner_network" "this" {
  name       = "agentless-scanner"
  cidr_block = "10.42.0.0/20"

  # No way to the internet: AWS services are reached through endpoints, and nothing else is.
  egress   = "endpoints"
  features = ["hosts", "functions"]

  # Accounts that are scanned through delegate roles: their principals may use the endpoints too.
  endpoint_account_ids = ["444455556666"]

  flow_logs = {
    s3_arn = "arn:aws:s3:::network-logs/agentless-scanner"
  }
}

# HTTPS to the endpoints only. That of S3 is a route, not an address of the VPC.
resource "datadog_agentless_scanner_security_group" "this" {
  name                    = "agentless-scanner"
  vpc_id                  = datadog_agentless_scanner_network.this.vpc_id
  egress_cidr_blocks      = [datadog_agentless_scanner_network.this.cidr_block]
  egress_ipv6_cidr_blocks = []
  egress_prefix_list_ids  = [datadog_agentless_scanner_network.this.prefix_list_ids["s3"]]
}
