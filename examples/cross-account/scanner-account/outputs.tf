output "scanner_role_arn" {
  description = "Role of the scanner: what target-account needs as scanner_role_arns."
  value       = module.scanner.role_arn
}

output "external_id" {
  description = "What target-account needs as external_id."
  value       = var.external_id
}

output "policy" {
  description = "Everything that the scanner's own role may do, for review."
  value       = module.scanner.policy
}

output "scanner_arn" {
  description = "Auto Scaling group of scanner instances."
  value       = module.scanner.scanner_arn
}
