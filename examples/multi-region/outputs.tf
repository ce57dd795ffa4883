output "scanners" {
  description = "By region: the Auto Scaling group, the image that it boots, the role, and the addresses that connections come from."
  value = {
    for region, it in module.region : region => {
      scanner_arn   = it.scanner_arn
      image_id      = it.image_id
      role_arn      = it.role_arn
      nat_addresses = it.nat_addresses
    }
  }
}

output "policies" {
  description = "Everything that each region's scanner may do, for review."
  value       = { for region, it in module.region : region => it.policy }
}
