terraform {
  required_providers {
    # Under this local name the resources, which are called datadog_…, find their provider. Where the vendor's own
    # provider has that name already, choose another one and set `provider` in each resource.
    datadog = {
      source = "registry.terraform.io/agentless/datadog-agentless"
    }
  }
}

provider "datadog" {
  region = "eu-central-1"

  default_tags {
    tags = {
      team = "security"
    }
  }
}
