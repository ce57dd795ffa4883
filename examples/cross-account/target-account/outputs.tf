output "delegate_role_arn" {
  description = "Role that the scanner takes on to scan this account."
  value       = datadog_agentless_scanner_delegate_role.this.arn
}

output "policy" {
  description = "Everything that the scanner may do in this account, for review."
  value       = datadog_agentless_scanner_delegate_role.this.policy
}

output "trust_policy" {
  description = "Who may take the role on, for review."
  value       = datadog_agentless_scanner_delegate_role.this.assume_role_policy
}
