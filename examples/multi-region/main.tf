# A scanner in each of several regions, from one provider block.

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

# Its region is that of resources that name none. Here, all name one.
provider "datadog" {
  region = keys(var.regions)[0]

  default_tags {
    tags = var.tags
  }
}

module "region" {
  source   = "../modules/region"
  for_each = var.regions

  name                    = var.name
  region                  = each.key
  image_id                = each.value.image_id
  cidr_block              = each.value.cidr_block
  egress                  = var.egress
  features                = var.features
  datadog_api_key         = var.datadog_api_key
  datadog_api_key_version = var.datadog_api_key_version
  datadog_site            = var.datadog_site
  secret_recovery_days    = var.secret_recovery_days
}
