resource "datadog_agentless_scanner_role" "this" {
  name = "agentless-scanner"

  # What is to be scanned in this account. Empty, the scanner only scans other accounts.
  features = ["hosts", "functions"]

  # Left out, the role may use every key of the account whose own policy allows it, through EBS only.
  kms_key_arns = ["arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"]

  # Only what is named here is granted beside scanning.
  delegate_role_arns  = ["arn:aws:iam::444455556666:role/agentless-scanner-delegate"]
  secret_arns         = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:agentless-scanner-AbCdEf"]
  scaling_group_names = ["agentless-scanner"]
  reports = {
    bucket = "example-package-lists"
    prefix = "scans/"
  }

  # Where the account demands one.
  permissions_boundary = "arn:aws:iam::111122223333:policy/boundary"
}
