# By name, for the provider's region or for another one.
terraform import datadog_agentless_scanner_delegate_role.this agentless-scanner-delegate
terraform import datadog_agentless_scanner_delegate_role.this agentless-scanner-delegate@eu-west-1
