# The bucket of halluc_ray's output, and policies for who works with it. The policies are the JSON files in
# policies/, which also serve without Terraform and on the local server.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  inputs = var.inputs_bucket == "" ? var.bucket : var.inputs_bucket
  names = {
    bucket      = var.bucket
    root        = var.root
    inputs      = local.inputs
    inputs_root = var.inputs_root
  }
  with_key = var.kms_key_arn == "" ? [] : ["kms"]
}

resource "aws_s3_bucket" "output" {
  bucket        = var.bucket
  force_destroy = false
  tags          = var.tags
}

resource "aws_s3_bucket_public_access_block" "output" {
  bucket                  = aws_s3_bucket.output.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "output" {
  bucket = aws_s3_bucket.output.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "output" {
  bucket = aws_s3_bucket.output.id
  rule {
    bucket_key_enabled = var.kms_key_arn != ""
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == "" ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn
    }
  }
}

# Off: what may not change is created once and never written again, and a versioned bucket would keep every
# heartbeat and all that gc frees.
resource "aws_s3_bucket_versioning" "output" {
  bucket = aws_s3_bucket.output.id
  versioning_configuration {
    status = "Disabled"
  }
}

# Expires nothing: `halluc-ray gc` knows what is still needed, a rule by age does not.
resource "aws_s3_bucket_lifecycle_configuration" "output" {
  bucket = aws_s3_bucket.output.id
  rule {
    id     = "abort-stale-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "output" {
  bucket     = aws_s3_bucket.output.id
  policy     = templatefile("${path.module}/policies/bucket.json", local.names)
  depends_on = [aws_s3_bucket_public_access_block.output]
}

resource "aws_iam_policy" "role" {
  for_each    = toset(["job", "reader", "publisher", "inputs"])
  name        = "${var.name}-${each.key}"
  description = "halluc_ray: ${each.key}"
  policy      = templatefile("${path.module}/policies/${each.key}.json", local.names)
  tags        = var.tags
}

resource "aws_iam_policy" "key" {
  for_each    = toset(local.with_key)
  name        = "${var.name}-${each.key}"
  description = "halluc_ray: the bucket's key"
  policy      = templatefile("${path.module}/policies/${each.key}.json", { kms_key_arn = var.kms_key_arn })
  tags        = var.tags
}
