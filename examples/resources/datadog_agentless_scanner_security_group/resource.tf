resource "datadog_agentless_scanner_security_group" "this" {
  name   = "agentless-scanner"
  vpc_id = "vpc-0123456789abcdef0"

  # Only the VPC itself, where interface endpoints stand in for the AWS APIs, and the S3 gateway endpoint.
  egress_cidr_blocks      = ["10.0.0.0/16"]
  egress_ipv6_cidr_blocks = []
  egress_prefix_list_ids  = ["pl-0123456789abcdef0"]
}
