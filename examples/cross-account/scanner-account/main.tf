# The account of the scanner, which scans other accounts through the delegate roles there.

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

# Says which partition this is.
data "datadog_agentless_scanner_policy" "this" {
  region = var.region
}

module "scanner" {
  source = "../../modules/region"

  name                    = var.name
  region                  = var.region
  image_id                = var.image_id
  cidr_block              = var.cidr_block
  egress                  = var.egress
  features                = var.features
  scan_own_account        = var.scan_own_account
  datadog_api_key         = var.datadog_api_key
  datadog_api_key_version = var.datadog_api_key_version
  datadog_site            = var.datadog_site
  secret_recovery_days    = var.secret_recovery_days

  # The delegate roles come later, and each trusts the scanner's role, which must exist then: so they are written out.
  accounts = [
    for account_id in sort(tolist(var.target_account_ids)) : {
      delegate_role_arn = "arn:${data.datadog_agentless_scanner_policy.this.partition}:iam::${account_id}:role/${var.delegate_role_name}"
      external_id       = var.external_id
    }
  ]
}
