# A network beside the scanner: two zones, a NAT gateway in the first, and the gateway endpoint of S3.

resource "datadog_agentless_scanner_network" "this" {
  name               = var.name
  availability_zones = ["${var.region}a", "${var.region}b"]
}
