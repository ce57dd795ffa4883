output "role_arn" {
  description = "Role that scanner instances work with."
  value       = datadog_agentless_scanner_role.this.arn
}

output "policy" {
  description = "Everything that the role may do, for review."
  value       = datadog_agentless_scanner_role.this.policy
}

output "security_group_id" {
  description = "Security group of scanner instances."
  value       = datadog_agentless_scanner_security_group.this.id
}

output "scanner_arn" {
  description = "Auto Scaling group of scanner instances."
  value       = datadog_agentless_scanner.this.arn
}
