variable "bucket" {
  description = "Name of the bucket of the output."
  type        = string
}

variable "root" {
  description = "Where the output lies in it, with a slash at its end; empty for the whole bucket."
  type        = string
  default     = ""
  validation {
    condition     = var.root == "" || (endswith(var.root, "/") && !startswith(var.root, "/"))
    error_message = "root ends with a slash and begins with none, such as out/."
  }
}

variable "inputs_bucket" {
  description = "Bucket of corpora, checkpoints, specs and suites; empty where it is that of the output."
  type        = string
  default     = ""
}

variable "inputs_root" {
  description = "Where corpora/, models/, specs/ and suites/ lie in it, with a slash at its end; empty for its top."
  type        = string
  default     = ""
  validation {
    condition     = var.inputs_root == "" || (endswith(var.inputs_root, "/") && !startswith(var.inputs_root, "/"))
    error_message = "inputs_root ends with a slash and begins with none, such as evals/."
  }
}

variable "name" {
  description = "Prefix of the policies' names."
  type        = string
  default     = "halluc-ray"
}

variable "kms_key_arn" {
  description = "Key that encrypts the bucket; empty for S3's own (AES256)."
  type        = string
  default     = ""
}

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = {}
}
