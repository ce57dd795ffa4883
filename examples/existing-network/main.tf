# A scanner in subnets that exist, which reaches only what is named and puts package lists into a bucket.

terraform {
  required_version = ">= 1.5"

  required_providers {
    datadog = {
      source  = "registry.terraform.io/agentless/datadog-agentless"
      version = "~> 0.1"
    }
  }
}

provider "datadog" {
  region = var.region

  default_tags {
    tags = var.tags
  }
}

# No inbound, and TCP 443 to nothing but the VPC endpoints.
resource "datadog_agentless_scanner_security_group" "this" {
  name                    = var.name
  vpc_id                  = var.vpc_id
  egress_cidr_blocks      = var.egress_cidr_blocks
  egress_ipv6_cidr_blocks = []
  egress_prefix_list_ids  = var.egress_prefix_list_ids
}

# May write package lists into the bucket, and neither read nor delete there.
resource "datadog_agentless_scanner_role" "this" {
  name                 = var.name
  features             = var.features
  scaling_group_names  = [var.name]
  permissions_boundary = var.permissions_boundary

  reports = {
    bucket = var.report_bucket
    prefix = var.report_prefix
  }
}

resource "datadog_agentless_scanner" "this" {
  name                 = var.name
  image_id             = var.image_id
  instance_type        = var.instance_type
  subnet_ids           = var.subnet_ids
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn

  settings = {
    features = var.features

    sinks = {
      s3 = {
        bucket = var.report_bucket
        prefix = var.report_prefix
      }
    }
  }

  # A group in use cannot be deleted: where it is replaced, its scanner is replaced with it.
  lifecycle {
    replace_triggered_by = [datadog_agentless_scanner_security_group.this.id]
  }
}
