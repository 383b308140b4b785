{{- define "grpo-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "grpo-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "grpo-operator.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "grpo-operator.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "grpo-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "grpo-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "grpo-operator.labels" -}}
{{ include "grpo-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* A name of an image below imageRegistry: list of the context, the name and the tag. */}}
{{- define "grpo-operator.imageReference" -}}
{{- $context := index . 0 }}
{{- with $context.Values.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}
{{- index . 1 }}:{{ index . 2 | default $context.Chart.AppVersion }}
{{- end }}

{{/* What grpo_operator.settings.Settings reads. */}}
{{- define "grpo-operator.settings" -}}
{{- $learnerImage := .Values.trainer.image | default (include "grpo-operator.imageReference" (list . "grpo-trainer" "")) }}
{{- $learnerCpuImage := .Values.trainer.cpuImage | default (include "grpo-operator.imageReference" (list . "grpo-trainer-cpu" "")) }}
{{- dict
  "learner" (dict
    "image" $learnerImage
    "cpuImage" $learnerCpuImage
    "podTemplate" .Values.podDefaults.learner)
  "generator" (dict
    "image" (.Values.generator.image | default $learnerImage)
    "cpuImage" (.Values.generator.cpuImage | default $learnerCpuImage)
    "podTemplate" .Values.podDefaults.generator)
  "benchmarks" (dict
    "image" .Values.benchmarks.image
    "command" .Values.benchmarks.command
    "tasks" .Values.benchmarks.tasks
    "gpus" .Values.benchmarks.gpus
    "timeoutS" .Values.benchmarks.timeoutSeconds
    "podTemplate" .Values.podDefaults.benchmark)
  "imagePullPolicy" .Values.image.pullPolicy
  "operatorNamespace" .Release.Namespace
  "operatorLabels" (include "grpo-operator.selectorLabels" . | fromYaml)
  "leaseName" (include "grpo-operator.fullname" .)
  "metricsFrom" .Values.metricsFrom
  "scrapeAnnotations" (not .Values.podMonitor.enabled)
  "watchNamespaces" .Values.watchNamespaces
  "progressIntervalS" .Values.progressIntervalSeconds
  "fullPassS" .Values.fullPassSeconds
  | toPrettyJson }}
{{- end }}
