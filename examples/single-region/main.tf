# A whole region from nothing: a network that nothing can reach, a role, the API key, and the scanner.

terraform {
  # Write-only arguments keep the API key out of plan and state.
  required_version = ">= 1.11"

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

resource "datadog_agentless_scanner_network" "this" {
  name       = var.name
  cidr_block = var.cidr_block
  egress     = var.egress
  features   = var.features
}

resource "datadog_agentless_scanner_security_group" "this" {
  name   = var.name
  vpc_id = datadog_agentless_scanner_network.this.vpc_id
}

# Says which account and which partition this is.
data "datadog_agentless_scanner_policy" "this" {
  features = var.features
}

resource "datadog_agentless_scanner_api_key" "this" {
  name                    = var.name
  api_key_wo              = var.datadog_api_key
  api_key_wo_version      = var.datadog_api_key_version
  recovery_window_in_days = var.secret_recovery_days

  # Nobody else in the account gets the key. Written out, because the role in turn refers to the secret.
  reader_role_arns = ["arn:${data.datadog_agentless_scanner_policy.this.partition}:iam::${data.datadog_agentless_scanner_policy.this.account_id}:role/${var.name}"]
}

resource "datadog_agentless_scanner_role" "this" {
  name                = var.name
  features            = var.features
  secret_arns         = [datadog_agentless_scanner_api_key.this.arn]
  scaling_group_names = [var.name]
}

# The newest image that this account has built, unless one is named.
data "datadog_agentless_scanner_image" "newest" {
  count = var.image_id == null ? 1 : 0
}

resource "datadog_agentless_scanner" "this" {
  name                 = var.name
  image_id             = coalesce(var.image_id, one(data.datadog_agentless_scanner_image.newest[*].id))
  subnet_ids           = datadog_agentless_scanner_network.this.private_subnet_ids
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn

  settings = {
    features = var.features

    sinks = {
      datadog = {
        api_key = datadog_agentless_scanner_api_key.this.enc_handle
        site    = var.datadog_site
      }
    }
  }

  # A group in use cannot be deleted: where it is replaced, its scanner is replaced with it.
  lifecycle {
    replace_triggered_by = [datadog_agentless_scanner_security_group.this.id]
  }
}
