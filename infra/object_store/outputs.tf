output "output_uri" {
  description = "The `output` of specs and suites."
  value       = trimsuffix("s3://${aws_s3_bucket.output.id}/${var.root}", "/")
}

output "policy_arns" {
  description = "job, reader, publisher, inputs, and kms where the bucket has a key: attach each to the roles that need it."
  value = merge(
    { for name, policy in aws_iam_policy.role : name => policy.arn },
    { for name, policy in aws_iam_policy.key : name => policy.arn },
  )
}
