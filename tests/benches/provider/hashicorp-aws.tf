# The AWS objects that examples/quickstart makes, made with hashicorp/aws.

terraform {
  required_providers {
    aws = {
      source = "registry.terraform.io/hashicorp/aws"
    }
  }
}

variable "name" {
  type = string
}

variable "region" {
  type = string
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "image_id" {
  type = string
}

variable "policy" {
  type = string
}

variable "assume_role_policy" {
  type = string
}

provider "aws" {
  region = var.region
}

resource "aws_iam_role" "this" {
  name               = var.name
  description        = "Scans volumes of this account. Managed by Terraform."
  assume_role_policy = var.assume_role_policy
}

resource "aws_iam_role_policy" "this" {
  name   = "agentless-scanner"
  role   = aws_iam_role.this.name
  policy = var.policy
}

resource "aws_iam_instance_profile" "this" {
  name = var.name
  role = aws_iam_role.this.name
}

resource "aws_security_group" "this" {
  name        = var.name
  description = "Agentless scanner: no inbound, HTTPS outbound"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "ipv4" {
  security_group_id = aws_security_group.this.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "ipv6" {
  security_group_id = aws_security_group.this.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv6         = "::/0"
}

resource "aws_launch_template" "this" {
  name                                 = var.name
  image_id                             = var.image_id
  instance_type                        = "t4g.medium"
  instance_initiated_shutdown_behavior = "terminate"
  update_default_version               = true

  user_data = base64encode("#cloud-config\n${jsonencode({
    write_files = [{
      path        = "/etc/agentless-scanner/config.yaml"
      owner       = "root:root"
      permissions = "0644"
      content = jsonencode({
        scanner_id          = var.name
        region              = var.region
        log_level           = "info"
        scan_interval_hours = 12
      })
    }]
  })}\n")

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [aws_security_group.this.id]
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 30
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value

      tags = {
        Name                             = var.name
        DatadogAgentlessScannerScannerId = var.name
      }
    }
  }
}

resource "aws_autoscaling_group" "this" {
  name                    = var.name
  vpc_zone_identifier     = var.subnet_ids
  min_size                = 1
  max_size                = 1
  max_instance_lifetime   = 86400
  default_instance_warmup = 60
  force_delete            = true

  # datadog_agentless_scanner waits until the group exists, not until its instances are healthy.
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 200
  }
}
