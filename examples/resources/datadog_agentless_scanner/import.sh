# By name, in the provider's region or in another one.
terraform import datadog_agentless_scanner.this agentless-scanner
terraform import datadog_agentless_scanner.this agentless-scanner@eu-west-1
