output "policy" {
  description = "Everything that the scanner may do, for review."
  value       = datadog_agentless_scanner_role.this.policy
}

output "role_arn" {
  description = "Role that scanner instances work with, for the bucket's policy."
  value       = datadog_agentless_scanner_role.this.arn
}

output "security_group_id" {
  description = "Security group of scanner instances. Those of the interface endpoints must let it in on TCP 443."
  value       = datadog_agentless_scanner_security_group.this.id
}

output "scanner_arn" {
  description = "Auto Scaling group of scanner instances."
  value       = datadog_agentless_scanner.this.arn
}
