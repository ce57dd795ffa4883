output "project_name" {
  description = "Project, for `aws codebuild start-build`."
  value       = aws_codebuild_project.this.name
}

output "role_arn" {
  description = "Role that the pipeline works with."
  value       = aws_iam_role.this.arn
}
