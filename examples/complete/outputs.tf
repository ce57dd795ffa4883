output "policy" {
  description = "Everything that the scanner may do, for review."
  value       = datadog_agentless_scanner_role.this.policy
}

output "role_arn" {
  description = "Role that scanner instances work with."
  value       = datadog_agentless_scanner_role.this.arn
}

output "scanner_arn" {
  description = "Auto Scaling group of scanner instances."
  value       = datadog_agentless_scanner.this.arn
}

output "vpc_id" {
  description = "VPC of the scanner."
  value       = datadog_agentless_scanner_network.this.vpc_id
}

output "nat_addresses" {
  description = "Public addresses that the scanner's connections come from, for the allow lists of others."
  value       = datadog_agentless_scanner_network.this.nat_addresses
}

output "secret_arn" {
  description = "Secret with the API key."
  value       = datadog_agentless_scanner_api_key.this.arn
}

output "user_data" {
  description = "What cloud-init writes on the instances: the scanner's configuration, to check it with agentless-scanner config check."
  value       = datadog_agentless_scanner.this.user_data
}
