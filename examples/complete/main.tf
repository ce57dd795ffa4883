# One scanner with everything configured: what is scanned and how often, another account, where package lists go, tasks at
# once, rotation. Copy what you need; each argument may be left out.

terraform {
  # Write-only arguments keep the API key out of plan and state.
  required_version = ">= 1.11"

  required_providers {
    datadog = {
      source  = "registry.terraform.io/agentless/datadog-agentless"
      version = "~> 0.1"
    }
  }
}

provider "datadog" {
  region = var.region

  default_tags {
    tags = var.tags
  }
}

locals {
  # The delegate role in the other account, if there is one.
  accounts = var.delegate_role_arn == null ? [] : [{
    delegate_role_arn = var.delegate_role_arn
    external_id       = var.external_id
  }]
}

resource "datadog_agentless_scanner_network" "this" {
  name                 = var.name
  cidr_block           = var.cidr_block
  features             = var.features
  endpoint_account_ids = [for account in local.accounts : split(":", account.delegate_role_arn)[4]]
}

resource "datadog_agentless_scanner_security_group" "this" {
  name   = var.name
  vpc_id = datadog_agentless_scanner_network.this.vpc_id
}

# Says which account and which partition this is.
data "datadog_agentless_scanner_policy" "this" {
  features = var.features
}

resource "datadog_agentless_scanner_api_key" "this" {
  name                    = var.name
  api_key_wo              = var.datadog_api_key
  api_key_wo_version      = var.datadog_api_key_version
  recovery_window_in_days = var.secret_recovery_days

  # Nobody else in the account gets the key. Written out, because the role in turn refers to the secret.
  reader_role_arns = ["arn:${data.datadog_agentless_scanner_policy.this.partition}:iam::${data.datadog_agentless_scanner_policy.this.account_id}:role/${var.name}"]
}

# What the settings below need, and nothing else: each is granted only because it is named.
resource "datadog_agentless_scanner_role" "this" {
  name                = var.name
  features            = setunion(var.features, ["incremental"])
  delegate_role_arns  = local.accounts[*].delegate_role_arn
  secret_arns         = [datadog_agentless_scanner_api_key.this.arn]
  scaling_group_names = [var.name]

  reports = {
    bucket      = var.report_bucket
    prefix      = var.report_prefix
    kms_key_arn = var.report_kms_key_arn
  }
}

resource "datadog_agentless_scanner" "this" {
  name                 = var.name
  image_id             = var.image_id
  instance_type        = var.instance_type
  subnet_ids           = datadog_agentless_scanner_network.this.private_subnet_ids
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn
  min_size             = 1
  max_size             = 2

  # The spool and the volumes' kept pages are on it.
  root_volume_size = 40

  settings = {
    # What: this account and the other one, here.
    regions          = [var.region]
    scan_own_account = true
    accounts         = local.accounts
    features         = var.features
    hosts            = { volumes = "all", stopped = true, vendor_agent = "skip" }
    images           = { owned = true, used = true }
    include_tags     = var.include_tags
    exclude_tags     = var.exclude_tags

    # When: each target twice a day, reading only what has changed since.
    scan_interval_hours      = 12
    discovery_minutes        = 15
    snapshot_timeout_minutes = 60
    scan_timeout_minutes     = 180
    incremental              = true

    # And at once what signed tasks name.
    tasks = {
      url          = var.tasks_url
      public_key   = var.tasks_public_key
      poll_seconds = 60
    }

    # How much at a time, and how fast: below what AWS allows the account.
    queue = { workers = 4, snapshots = 50, length = 10000 }
    rate_limits = {
      read         = 10
      mutating     = 4
      block_get    = 400
      block_list   = 20
      function_get = 50
      lambda       = 7
      registry     = 250
    }

    # Where to: a bucket and Datadog. What one does not take waits, up to the spool's bound.
    sinks = {
      s3 = {
        bucket      = var.report_bucket
        prefix      = var.report_prefix
        kms_key_arn = var.report_kms_key_arn
        region      = var.region
      }

      datadog = {
        site    = var.datadog_site
        api_key = datadog_agentless_scanner_api_key.this.enc_handle
        env     = var.datadog_env
      }
    }
    spool = { megabytes = 1024 }

    # The scanner itself.
    sandbox   = "required"
    log_level = "info"
    status    = { enabled = true, port = 5009 }
    limits    = { analyser_seconds = 7200 }
  }

  # A new instance counts once the scanner on it has reported; one that goes has half an hour for its scans, and more while
  # they go on.
  launch_hook      = { heartbeat_timeout = 600, default_result = "ABANDON" }
  termination_hook = { heartbeat_timeout = 1800, default_result = "CONTINUE" }

  # A change replaces the instances, is watched for ten minutes, and is undone where the new ones fail.
  instance_refresh = {
    auto_rollback = true
    bake_time     = 600
    skip_matching = true
    wait          = true
  }

  # A group in use cannot be deleted: where it is replaced, its scanner is replaced with it.
  lifecycle {
    replace_triggered_by = [datadog_agentless_scanner_security_group.this.id]
  }
}
