# Terraform keeps an ephemeral variable nowhere. It may be left out while the key stays the same.
variable "datadog_api_key" {
  type      = string
  ephemeral = true
  default   = null
}

resource "datadog_agentless_scanner_api_key" "this" {
  name       = "agentless-scanner/api-key"
  api_key_wo = var.datadog_api_key

  # Raised with every new key.
  api_key_wo_version = 1

  # Everybody else in the account is denied the key. Written out, because the role in turn refers to the secret.
  reader_role_arns = ["arn:aws:iam::111122223333:role/agentless-scanner"]
}

resource "datadog_agentless_scanner_role" "this" {
  name        = "agentless-scanner"
  secret_arns = [datadog_agentless_scanner_api_key.this.arn]
}

# What the scanner's configuration takes in place of the key.
output "api_key" {
  value = datadog_agentless_scanner_api_key.this.enc_handle
}
