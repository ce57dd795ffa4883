# By ARN, in whatever region it names.
terraform import datadog_agentless_scanner_api_key.this arn:aws:secretsmanager:eu-central-1:111122223333:secret:agentless-scanner/api-key-a1b2c3
