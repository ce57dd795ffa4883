locals {
  built_at   = timestamp()
  expires_at = timeadd(local.built_at, "${var.keep_days * 24}h")

  # Without networks for SSH, the connection is a session through AWS's API, and no port is of use.
  connection = length(var.ssh_source_cidrs) > 0 ? "ssh" : "session_manager"

  # Packer opens SSH to everybody if no network is named. This one is nobody's (RFC 5737).
  nobody = ["192.0.2.1/32"]

  # The release files, but for the architecture.
  release = "${var.release_folder}/agentless-scanner_${var.scanner_version}_linux"

  # "ubuntu-noble-24.04" of the names that Canonical gives, with the volume type of the release's time.
  source_names = {
    "24.04" = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04"
    "22.04" = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04"
  }

  # All that the build makes has the first: what the pipeline may change and delete, it knows by it.
  marker = { DatadogAgentlessScannerImage = "true" }
  tags = {
    DatadogAgentlessScannerImage           = "true"
    DatadogAgentlessScannerVersion         = var.scanner_version
    DatadogAgentlessScannerCommit          = var.git_commit
    DatadogAgentlessScannerSourceImage     = "{{ .SourceAMI }}"
    DatadogAgentlessScannerSourceImageName = "{{ .SourceAMIName }}"
    DatadogAgentlessScannerBuiltAt         = local.built_at
    DatadogAgentlessScannerExpiresAt       = local.expires_at
  }
}

# What both architectures have in common; build.pkr.hcl has the rest.
source "amazon-ebs" "ubuntu" {
  region             = var.region
  encrypt_boot       = true
  kms_key_id         = var.kms_key_id
  ami_regions        = keys(var.copy_to)
  region_kms_key_ids = var.copy_to
  ami_users          = var.share_with_accounts

  #modern-begin
  ami_org_arns = [for arn in var.share_with_organizations : arn if regex_replace(arn, ":organization/", "") != arn]
  ami_ou_arns  = [for arn in var.share_with_organizations : arn if regex_replace(arn, ":ou/", "") != arn]

  # Instances of the image answer to metadata requests with a token only, whatever starts them.
  imds_support = "v2.0"
  deprecate_at = local.expires_at

  # Who deregisters it must say so twice, a day apart.
  deregistration_protection {
    enabled       = true
    with_cooldown = true
  }

  # The build instance itself: tokens only, and none of them beyond the instance.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  temporary_key_pair_type = "ed25519"
  #modern-end

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_type           = "gp3"
    volume_size           = var.volume_size
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    kms_key_id            = var.kms_key_id
    delete_on_termination = true
  }

  subnet_id                   = var.subnet_id
  associate_public_ip_address = var.public_address
  iam_instance_profile        = var.instance_profile

  communicator                          = "ssh"
  ssh_username                          = "ubuntu"
  ssh_timeout                           = "10m"
  ssh_interface                         = local.connection == "ssh" ? (var.public_address ? "public_ip" : "private_ip") : "session_manager"
  temporary_security_group_source_cidrs = local.connection == "ssh" ? var.ssh_source_cidrs : local.nobody

  # The agent of Session Manager cannot be removed through its own session: instance.sh does it afterwards, and stops the
  # instance only if that succeeded. One that goes on running becomes no image.
  disable_stop_instance = local.connection == "session_manager"
  shutdown_behavior     = "stop"

  run_tags        = local.marker
  run_volume_tags = local.marker
  snapshot_tags   = local.tags
}
