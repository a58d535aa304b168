{{/* Names and labels. */}}
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

{{/* A list of the root and a component. */}}
{{- define "edgeloop.labelsOf" -}}
{{- with index . 0 -}}
app.kubernetes.io/name: {{ include "edgeloop.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ index $ 1 }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- end }}

{{- define "edgeloop.labels" -}}
{{ include "edgeloop.labelsOf" (list . "agent") }}
{{- end }}

{{/* Fields that a version of Kubernetes does not know yet are left out. */}}
{{- define "edgeloop.since" -}}
{{- if semverCompare (printf ">=%s.0-0" (index . 1)) (index . 0).Capabilities.KubeVersion.Version }}yes{{ end }}
{{- end }}

{{/* The API server's address on each node: the value, else the distribution's own proxy. Empty: as pods get it. */}}
{{- define "edgeloop.apiServer" -}}
{{- $of := dict
  "k3s" "https://127.0.0.1:6444"
  "rke2" "https://127.0.0.1:6443"
  "k0s" "https://127.0.0.1:7443"
  "talos" "https://127.0.0.1:7445"
  "kubeedge" "http://127.0.0.1:10550"
  "openyurt" "http://127.0.0.1:10261"
}}
{{- .Values.apiServer | default (get $of .Values.distro) }}
{{- end }}

{{/* Topologies by flag: those of the value `topology`, and the loop order for what `dns.keepLocal` names. */}}
{{- define "edgeloop.topology" -}}
{{- $topology := dict }}
{{- range .Values.dns.keepLocal }}
{{- $_ := set $topology . "kubernetes.io/hostname, openyurt.io/nodepool, *" }}
{{- end }}
{{- $topology = merge (deepCopy .Values.topology) $topology }}
{{- range .Values.excludeServices }}
{{- if hasKey $topology . }}
{{- fail (printf "excludeServices leaves %s alone, and dns.keepLocal or topology gives it a topology: give it one of them" .) }}
{{- end }}
{{- end }}
{{- toJson $topology }}
{{- end }}

{{/* What sockets are found and ended by takes a capability. */}}
{{- define "edgeloop.checkSockets" -}}
{{- $held := or .Values.securityContext.perfmon .Values.securityContext.legacyCapabilities .Values.endUdpSockets.inPods }}
{{- if and (eq .Values.endUdpSockets.by "iterator") (not $held) }}
{{- fail "endUdpSockets.by: iterator takes securityContext.perfmon or endUdpSockets.inPods: give one of them, or auto" }}
{{- end }}
{{- if and (eq .Values.endUdpSockets.by "off") .Values.endUdpSockets.inPods }}
{{- fail "endUdpSockets.by: off ends no sockets, and endUdpSockets.inPods asks for those of pods: give one of them" }}
{{- end }}
{{- end }}

{{/* Two doors at one port, one of them at all addresses, cannot both be opened. */}}
{{- define "edgeloop.checkPorts" -}}
{{- if and .Values.metrics.enabled (not (hasPrefix "127." .Values.http.address)) (eq (int .Values.http.port) (int .Values.metrics.port)) }}
{{- fail "http.port and metrics.port are the same, and http.address is not loopback: give metrics another port" }}
{{- end }}
{{- end }}

{{/* A pod that does not tolerate the start-up taint never comes to a node to remove it. */}}
{{- define "edgeloop.checkTaint" -}}
{{- if .Values.startupTaint.enabled }}
{{- $tolerated := false }}
{{- range .Values.tolerations }}
{{- if and (eq (.operator | default "Equal") "Exists") (not .effect) (or (not .key) (eq .key $.Values.startupTaint.key)) }}
{{- $tolerated = true }}
{{- end }}
{{- end }}
{{- if not $tolerated }}
{{- fail (printf "startupTaint.enabled: agents have to run on nodes with the taint: add {key: %s, operator: Exists} to tolerations" .Values.startupTaint.key) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Binds a role of the agents' own. A list of the root and the role's suffix; it ends with what divides documents. */}}
{{- define "edgeloop.bindingOf" -}}
{{- $suffix := index . 1 }}
{{- with index . 0 }}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "edgeloop.agent" . }}-{{ $suffix }}
  labels:
    {{- include "edgeloop.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "edgeloop.agent" . }}-{{ $suffix }}
subjects:
  - kind: ServiceAccount
    name: {{ include "edgeloop.agent" . }}
    namespace: {{ .Release.Namespace }}
---
{{- end }}
{{- end }}
