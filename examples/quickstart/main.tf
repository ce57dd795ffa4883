# A scanner in one region: a role with exactly the permissions of a scan, a security group without inbound,
# and an Auto Scaling group that replaces its instances every day.

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
}

resource "datadog_agentless_scanner_role" "this" {
  name = var.name

  # Instances report to the scanner's group when they are ready, and when they may go.
  scaling_group_names = [var.name]
}

resource "datadog_agentless_scanner_security_group" "this" {
  name   = var.name
  vpc_id = var.vpc_id
}

resource "datadog_agentless_scanner" "this" {
  name                 = var.name
  image_id             = var.image_id
  subnet_ids           = var.subnet_ids
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn

  # Package lists stay on the instance and go with it: enough to see that it works. The example `complete` has other sinks.
  settings = {
    sinks = { files = { directory = "/var/lib/agentless-scanner/lists" } }
  }

  # A new instance counts once the scanner on it has reported that it works, and one that goes may finish its scans.
  launch_hook      = { enabled = var.image_has_scanner }
  termination_hook = { enabled = var.image_has_scanner }

  # A group in use cannot be deleted: where it is replaced, its scanner is replaced with it.
  lifecycle {
    replace_triggered_by = [datadog_agentless_scanner_security_group.this.id]
  }
}
