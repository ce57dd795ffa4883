resource "datadog_agentless_scanner_role" "this" {
  name = "agentless-scanner"

  # Where the account demands one.
  permissions_boundary = "arn:aws:iam::111122223333:policy/boundary"

  # Left out, the role may use every key of the account whose own policy allows it, through EBS only.
  kms_key_arns = ["arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"]
}
