# What one region needs: network, role, API key, scanner. Everything takes its region as an argument, so that `for_each`
# over regions needs one provider block.

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

locals {
  # Roles belong to the account, not to a region.
  role_name = "${var.name}-${var.region}"

  delegate_role_arns = [for account in var.accounts : account.delegate_role_arn]
}

resource "datadog_agentless_scanner_network" "this" {
  name                    = var.name
  region                  = var.region
  cidr_block              = var.cidr_block
  egress                  = var.egress
  availability_zone_count = var.availability_zone_count
  features                = var.features
  endpoint_account_ids    = [for arn in local.delegate_role_arns : split(":", arn)[4]]
  tags                    = var.tags
}

resource "datadog_agentless_scanner_security_group" "this" {
  name   = var.name
  region = var.region
  vpc_id = datadog_agentless_scanner_network.this.vpc_id
  tags   = var.tags
}

# Says which account and which partition this is.
data "datadog_agentless_scanner_policy" "this" {
  region   = var.region
  features = var.features
}

resource "datadog_agentless_scanner_api_key" "this" {
  name                    = var.name
  region                  = var.region
  api_key_wo              = var.datadog_api_key
  api_key_wo_version      = var.datadog_api_key_version
  recovery_window_in_days = var.secret_recovery_days

  # Nobody else in the account gets the key. Written out, because the role in turn refers to the secret.
  reader_role_arns = ["arn:${data.datadog_agentless_scanner_policy.this.partition}:iam::${data.datadog_agentless_scanner_policy.this.account_id}:role/${local.role_name}"]
  tags             = var.tags
}

resource "datadog_agentless_scanner_role" "this" {
  name                = local.role_name
  region              = var.region
  features            = var.scan_own_account ? var.features : []
  delegate_role_arns  = local.delegate_role_arns
  secret_arns         = [datadog_agentless_scanner_api_key.this.arn]
  scaling_group_names = [var.name]
  tags                = var.tags
}

# The newest image that this account has built in the region, unless one is named.
data "datadog_agentless_scanner_image" "newest" {
  count  = var.image_id == null ? 1 : 0
  region = var.region
}

resource "datadog_agentless_scanner" "this" {
  name                 = var.name
  region               = var.region
  image_id             = coalesce(var.image_id, one(data.datadog_agentless_scanner_image.newest[*].id))
  subnet_ids           = datadog_agentless_scanner_network.this.private_subnet_ids
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn
  tags                 = var.tags

  settings = {
    features         = var.features
    scan_own_account = var.scan_own_account
    accounts         = var.accounts

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
