# With the account given, AWS is not asked for anything.
data "datadog_agentless_scanner_policy" "this" {
  account_id = "444455556666"
  region     = "eu-central-1"
  features   = ["hosts", "images"]

  scanner_role_arns = ["arn:aws:iam::111122223333:role/agentless-scanner"]
  external_id       = "example-agreed-id"
}

# For review, or for whoever manages the roles.
output "delegate_policy" {
  value = data.datadog_agentless_scanner_policy.this.delegate_policy
}

output "delegate_trust_policy" {
  value = data.datadog_agentless_scanner_policy.this.delegate_trust_policy
}
