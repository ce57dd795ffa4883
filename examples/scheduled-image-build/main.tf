# The scanner that the pipeline keeps on the newest image: pipeline.sh applies this every day with the image that it has built.

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

resource "datadog_agentless_scanner_security_group" "this" {
  name   = var.name
  vpc_id = var.vpc_id
}

resource "datadog_agentless_scanner_role" "this" {
  name                = var.name
  scaling_group_names = [var.name]

  reports = {
    bucket = var.report_bucket
    prefix = "package-lists/"
  }
}

resource "datadog_agentless_scanner" "this" {
  name                 = var.name
  instance_type        = var.instance_type
  subnet_ids           = var.subnet_ids
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn

  # A literal id: each image is a numbered version of the launch template, so that there is one to go back to.
  image_id = var.image_id

  settings = {
    sinks = {
      s3 = {
        bucket = var.report_bucket
        prefix = "package-lists/"
      }
    }
  }

  # An instance with the new image is launched, tests itself and is watched for a while; then it has succeeded. Otherwise everything
  # is put back as it was, and apply fails.
  instance_refresh = {
    auto_rollback = true
    bake_time     = var.bake_time
    alarms        = var.alarms
  }

  timeouts = {
    update = "2h"
  }

  # A group in use cannot be deleted: where it is replaced, its scanner is replaced with it.
  lifecycle {
    replace_triggered_by = [datadog_agentless_scanner_security_group.this.id]
  }
}
