output "scanner_name" {
  description = "Name of the scanner, which is that of its Auto Scaling group."
  value       = datadog_agentless_scanner.this.name
}

output "image_id" {
  description = "Image that the instances boot."
  value       = datadog_agentless_scanner.this.image_id
}

output "launch_template_id" {
  description = "Launch template, from which the pipeline also starts the instance that checks a new image."
  value       = datadog_agentless_scanner.this.launch_template_id
}

output "launch_template_version" {
  description = "Version of the launch template that the group launches."
  value       = datadog_agentless_scanner.this.launch_template_version
}

output "subnet_id" {
  description = "Subnet in which the pipeline checks a new image."
  value       = var.subnet_ids[0]
}

output "user_data" {
  description = "What cloud-init reads on the instances."
  value       = datadog_agentless_scanner.this.user_data
}
