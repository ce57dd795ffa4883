output "scanner_role_arn" {
  description = "Role of the scanner."
  value       = module.scanner.role_arn
}

output "scanner_policy" {
  description = "Everything that the scanner's own role may do, for review."
  value       = module.scanner.policy
}

output "delegate_role_arn" {
  description = "Role that the scanner takes on to scan the other account."
  value       = datadog_agentless_scanner_delegate_role.this.arn
}

output "delegate_policy" {
  description = "Everything that the scanner may do in the other account, for review."
  value       = datadog_agentless_scanner_delegate_role.this.policy
}

output "scanner_arn" {
  description = "Auto Scaling group of scanner instances."
  value       = module.scanner.scanner_arn
}
