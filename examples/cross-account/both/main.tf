# Scanner and scanned account in one apply, by whoever may work in both.

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
  alias  = "scanner"
  region = var.region

  assume_role {
    role_arn     = var.scanner_account_role_arn
    session_name = var.name
  }

  default_tags {
    tags = var.tags
  }
}

provider "datadog" {
  alias  = "target"
  region = var.region

  assume_role {
    role_arn     = var.target_account_role_arn
    session_name = var.name
  }

  default_tags {
    tags = var.tags
  }
}

locals {
  # The parts of the ARN: the second is the partition, the fifth the account.
  target = split(":", var.target_account_role_arn)
}

module "scanner" {
  source = "../../modules/region"

  providers = {
    datadog = datadog.scanner
  }

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

  # Written out: the delegate role refers to the scanner's role, and roles that refer to each other would be a cycle.
  accounts = [{
    delegate_role_arn = "arn:${local.target[1]}:iam::${local.target[4]}:role/${var.delegate_role_name}"
    external_id       = var.external_id
  }]
}

resource "datadog_agentless_scanner_delegate_role" "this" {
  provider = datadog.target

  name              = var.delegate_role_name
  scanner_role_arns = [module.scanner.role_arn]
  external_id       = var.external_id
  features          = var.features
  regions           = [var.region]
}
