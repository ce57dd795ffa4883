# In the account that is scanned.
resource "datadog_agentless_scanner_delegate_role" "this" {
  name = "agentless-scanner-delegate"

  # Exactly these roles may take it on. They must exist already.
  scanner_role_arns = ["arn:aws:iam::111122223333:role/agentless-scanner"]
  external_id       = "example-agreed-id"

  features = ["hosts", "images"]
  regions  = ["eu-central-1", "eu-west-1"]
}
