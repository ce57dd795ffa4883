# Credentials of the role that a scanner takes on in a scanned account.
ephemeral "datadog_agentless_scanner_session" "delegate" {
  role_arn    = "arn:aws:iam::111122223333:role/agentless-scanner-delegate"
  external_id = var.external_id
  duration    = "15m"
}

# A provider that may do exactly what the scanner may do there.
provider "aws" {
  alias      = "as_scanner"
  region     = ephemeral.datadog_agentless_scanner_session.delegate.region
  access_key = ephemeral.datadog_agentless_scanner_session.delegate.access_key_id
  secret_key = ephemeral.datadog_agentless_scanner_session.delegate.secret_access_key
  token      = ephemeral.datadog_agentless_scanner_session.delegate.session_token
}
