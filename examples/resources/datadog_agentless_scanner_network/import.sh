# By the VPC's id, in the provider's region or in another one. Its parts are found by their tags.
terraform import datadog_agentless_scanner_network.this vpc-0123456789abcdef0
terraform import datadog_agentless_scanner_network.this vpc-0123456789abcdef0@eu-west-1
