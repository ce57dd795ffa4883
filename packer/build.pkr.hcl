build {
  name = "agentless-scanner"

  source "amazon-ebs.ubuntu" {
    name            = "amd64"
    instance_type   = var.instance_types["amd64"]
    ami_name        = "agentless-scanner-${var.scanner_version}-amd64-${formatdate("YYYYMMDDhhmmss", local.built_at)}"
    ami_description = "agentless-scanner ${var.scanner_version} on Ubuntu ${var.ubuntu} (amd64)"
    tags            = merge(local.tags, { DatadogAgentlessScannerBinarySha256 = substr(file("${local.release}_amd64.sha256"), 0, 64) })

    source_ami_filter {
      owners      = [var.source_owner]
      most_recent = true
      filters = {
        name                = "${local.source_names[var.ubuntu]}-amd64-server-*"
        architecture        = "x86_64"
        root-device-type    = "ebs"
        virtualization-type = "hvm"
      }
    }
  }

  source "amazon-ebs.ubuntu" {
    name            = "arm64"
    instance_type   = var.instance_types["arm64"]
    ami_name        = "agentless-scanner-${var.scanner_version}-arm64-${formatdate("YYYYMMDDhhmmss", local.built_at)}"
    ami_description = "agentless-scanner ${var.scanner_version} on Ubuntu ${var.ubuntu} (arm64)"
    tags            = merge(local.tags, { DatadogAgentlessScannerBinarySha256 = substr(file("${local.release}_arm64.sha256"), 0, 64) })

    source_ami_filter {
      owners      = [var.source_owner]
      most_recent = true
      filters = {
        name                = "${local.source_names[var.ubuntu]}-arm64-server-*"
        architecture        = "arm64"
        root-device-type    = "ebs"
        virtualization-type = "hvm"
      }
    }
  }

  # On this machine: what is not signed is not uploaded, and becomes no image.
  provisioner "shell-local" {
    environment_vars = ["RELEASE_PUBLIC_KEY=${var.release_public_key}"]
    inline           = ["exec '${path.root}/verify-release.sh' '${local.release}_${source.name}'"]
  }

  # cloud-init sets up the users and Ubuntu's archive, and SSH does not wait for it. 2 is "done, with something to look at".
  provisioner "shell" {
    inline = [
      "if [ -d /run/systemd/system ]; then cloud-init status --wait >/dev/null || [ $? -eq 2 ]; fi",
      "mkdir -m 700 /tmp/agentless-image /tmp/agentless-image/release",
    ]
  }

  provisioner "file" {
    sources     = ["${path.root}/files", "${path.root}/scripts", "${path.root}/instance.sh"]
    destination = "/tmp/agentless-image/"
  }

  provisioner "file" {
    sources     = [for suffix in ["", ".sha256", ".minisig"] : "${local.release}_${source.name}${suffix}"]
    destination = "/tmp/agentless-image/release/"
  }

  # All that needs root. Afterwards there is no sudo and no SSH server, only this connection.
  provisioner "shell" {
    environment_vars = [
      "SCANNER_VERSION=${var.scanner_version}",
      "RELEASE_PUBLIC_KEY=${var.release_public_key}",
      "SOURCE_IMAGE=${build.SourceAMI}",
      "SOURCE_IMAGE_NAME=${build.SourceAMIName}",
      "GIT_COMMIT=${var.git_commit}",
      "BUILT_AT=${local.built_at}",
      "BUILD_CONNECTION=${local.connection}",
      "APT_MIRROR=${var.apt_mirror}",
      "APT_SECURITY_MIRROR=${var.apt_security_mirror}",
    ]
    execute_command = "chmod +x '{{ .Path }}' && sudo -n env {{ .Vars }} '{{ .Path }}'"
    inline          = ["exec bash /tmp/agentless-image/instance.sh"]
  }

  provisioner "file" {
    direction   = "download"
    source      = "/etc/agentless-scanner/image.json"
    destination = "${var.output_folder}/image-${source.name}.json"
  }

  provisioner "file" {
    direction   = "download"
    source      = "/usr/share/agentless-scanner/image.cdx.json"
    destination = "${var.output_folder}/image-${source.name}.cdx.json"
  }

  # What waits for this removes the agent of Session Manager, through which it is said (instance.sh).
  provisioner "shell" {
    inline            = ["touch /dev/shm/agentless-image-downloaded"]
    expect_disconnect = true
  }

  post-processor "manifest" {
    output     = "${var.output_folder}/manifest.json"
    strip_path = true
    custom_data = {
      architecture    = source.name
      scanner_version = var.scanner_version
      git_commit      = var.git_commit
      built_at        = local.built_at
      expires_at      = local.expires_at
    }
  }
}
