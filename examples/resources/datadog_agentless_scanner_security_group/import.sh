# By id, in the provider's region or in another one.
terraform import datadog_agentless_scanner_security_group.this sg-0123456789abcdef0
terraform import datadog_agentless_scanner_security_group.this sg-0123456789abcdef0@eu-west-1
