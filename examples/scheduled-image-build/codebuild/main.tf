# A CodeBuild project that runs ../pipeline.sh every day, and what it needs: a role, a schedule, and an alarm when it fails.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.60, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region
}

locals {
  environment = {
    ARCHITECTURE         = var.architecture
    SCANNER_VERSION      = var.scanner_version
    RELEASE_BUCKET       = var.release_bucket
    RELEASE_PUBLIC_KEY   = var.release_public_key
    STATE_BUCKET         = var.state_bucket
    TF_VAR_region        = var.region
    TF_VAR_vpc_id        = var.vpc_id
    TF_VAR_subnet_ids    = jsonencode(var.subnet_ids)
    TF_VAR_report_bucket = var.report_bucket
  }
}

# Builds the image, publishes its id and starts the refresh: what `agentless-scanner permissions --image-pipeline` prints. What
# applying the scanner itself needs is the account's affair, and comes as managed policies.
resource "aws_iam_role" "this" {
  name                 = var.name
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "codebuild.amazonaws.com" }
      Condition = { ArnLike = { "aws:SourceArn" = "arn:*:codebuild:${var.region}:*:project/${var.name}" } }
    }]
  })
}

resource "aws_iam_role_policy" "pipeline" {
  name   = "image-pipeline"
  role   = aws_iam_role.this.id
  policy = file(var.pipeline_policy_file)
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each = var.apply_policy_arns

  role       = aws_iam_role.this.name
  policy_arn = each.value
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/codebuild/${var.name}"
  retention_in_days = 90
}

resource "aws_codebuild_project" "this" {
  name                   = var.name
  description            = "Builds, checks and rolls out the image of the agentless scanner."
  service_role           = aws_iam_role.this.arn
  build_timeout          = 180
  concurrent_build_limit = 1

  artifacts {
    type = "NO_ARTIFACTS"
  }

  environment {
    type         = "LINUX_CONTAINER"
    compute_type = "BUILD_GENERAL1_SMALL"
    image        = "aws/codebuild/standard:7.0"

    dynamic "environment_variable" {
      for_each = local.environment

      content {
        name  = environment_variable.key
        value = environment_variable.value
      }
    }
  }

  source {
    type            = "GITHUB"
    location        = var.repository
    git_clone_depth = 1
    buildspec       = "examples/scheduled-image-build/buildspec.yml"
  }

  source_version = var.branch

  # In the VPC, so that Packer reaches its instance by SSH from these subnets alone.
  vpc_config {
    vpc_id             = var.vpc_id
    subnets            = var.subnet_ids
    security_group_ids = var.security_group_ids
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.this.name
    }
  }
}

resource "aws_iam_role" "schedule" {
  name                 = "${var.name}-schedule"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "start-build"
  role = aws_iam_role.schedule.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "codebuild:StartBuild", Resource = aws_codebuild_project.this.arn }]
  })
}

resource "aws_scheduler_schedule" "this" {
  name                = var.name
  schedule_expression = var.schedule

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 30
  }

  target {
    arn      = "arn:aws:scheduler:::aws-sdk:codebuild:startBuild"
    role_arn = aws_iam_role.schedule.arn
    input    = jsonencode({ ProjectName = aws_codebuild_project.this.name })
  }
}

# A build that failed, and a day without one that succeeded.
resource "aws_cloudwatch_metric_alarm" "failed" {
  alarm_name          = "${var.name}-failed"
  alarm_description   = "The image of the agentless scanner was not renewed; the scanner goes on with the one it has. The log of the build says at which step it ended, and what to do."
  namespace           = "AWS/CodeBuild"
  metric_name         = "SucceededBuilds"
  dimensions          = { ProjectName = aws_codebuild_project.this.name }
  statistic           = "Sum"
  period              = 86400
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
}
