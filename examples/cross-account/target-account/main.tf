# An account that is scanned: one role, which exactly the scanner's role may take on.

terraform {
  required_version = ">= 1.5"

  required_providers {
    datadog = {
      source  = "registry.terraform.io/agentless/datadog-agentless"
      version = "~> 0.1"
    }
  }
}

# The role is of the whole account. The provider's region is only where it is talked to.
provider "datadog" {
  region = sort(tolist(var.regions))[0]

  default_tags {
    tags = var.tags
  }
}

resource "datadog_agentless_scanner_delegate_role" "this" {
  name              = var.delegate_role_name
  scanner_role_arns = var.scanner_role_arns
  external_id       = var.external_id
  features          = var.features
  regions           = var.regions
}
