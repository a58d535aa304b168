{{/* Names. */}}
{{- define "edgeloop.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "edgeloop.fullname" -}}
{{- $name := include "edgeloop.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The name of what belongs to the agent: DaemonSet, account, rights. */}}
{{- define "edgeloop.agent" -}}
{{ include "edgeloop.fullname" . }}-agent
{{- end }}

{{/* Labels that a DaemonSet finds its pods by: they can never change. */}}
{{- define "edgeloop.selectorLabels" -}}
app.kubernetes.io/name: {{ include "edgeloop.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end }}

{{- define "edgeloop.labels" -}}
{{ include "edgeloop.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "edgeloop.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The API server's address on each node: the value, else the distribution's own proxy. Empty: as pods get it. */}}
{{- define "edgeloop.apiServer" -}}
{{- $of := dict
  "kubeadm" ""
  "k3s" "https://127.0.0.1:6444"
  "rke2" "https://127.0.0.1:6443"
  "k0s" "https://127.0.0.1:7443"
  "talos" "https://127.0.0.1:7445"
  "kubeedge" "http://127.0.0.1:10550"
  "openyurt" "http://127.0.0.1:10261"
}}
{{- .Values.apiServer | default (get $of .Values.distro) }}
{{- end }}

{{/*
Bytes that maps of full size take twice, as one set takes the other's place when maps grow. A service port takes an
element of services4 (192 bytes as kernels from 6.1 on allocate it), one of names (512) and a bucket of 16 in both.
*/}}
{{- define "edgeloop.mapBytes" -}}
{{- $services := .Values.maxServices | int64 | default 16384 }}
{{- $backends := .Values.maxBackends | int64 | default 262144 }}
{{- mul 2 (add (mul $services 736) (mul $backends 16)) }}
{{- end }}

{{/* The agent's own memory: what it starts with, and what it knows of Services and endpoints. */}}
{{- define "edgeloop.ownBytes" -}}
{{- $services := .Values.maxServices | int64 | default 16384 }}
{{- $backends := .Values.maxBackends | int64 | default 262144 }}
{{- add 33554432 (mul $services 1024) (mul $backends 128) }}
{{- end }}

{{- define "edgeloop.resources" -}}
{{- if .Values.resources }}
{{- toYaml .Values.resources }}
{{- else }}
{{- $maps := include "edgeloop.mapBytes" . | int64 }}
{{- $own := include "edgeloop.ownBytes" . | int64 }}
requests:
  cpu: 10m
  memory: {{ div (add 33554432 (div $maps 4)) 1048576 }}Mi
limits:
  memory: {{ div (add $own $maps 1048575) 1048576 }}Mi
{{- end }}
{{- end }}
