# By name, for the provider's region or for another one.
terraform import datadog_agentless_scanner_role.this agentless-scanner
terraform import datadog_agentless_scanner_role.this agentless-scanner@eu-west-1
