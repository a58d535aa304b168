{{/* What is the same in every pod of this chart: where it runs, and how it reaches the API server. */}}
{{- define "edgeloop.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "edgeloop.place" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with .Values.priorityClassName -}}
priorityClassName: {{ . | quote }}
{{ end -}}
# The API server is reached as the node reaches it, and no cluster DNS is asked: that may be what an agent serves.
hostNetwork: true
dnsPolicy: Default
enableServiceLinks: false
nodeSelector:
  kubernetes.io/os: linux
  {{- if eq .Values.distro "kubeedge" }}
  # Its MetaServer is on edge nodes alone.
  node-role.kubernetes.io/edge: ""
  {{- end }}
  {{- with .Values.nodeSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What the container runtime lets a pod's calls do. Before 1.19, an annotation says it. */}}
{{- define "edgeloop.seccompAnnotation" -}}
{{- if not (include "edgeloop.since" (list . "1.19")) -}}
seccomp.security.alpha.kubernetes.io/pod: {{ eq .Values.securityContext.seccomp "RuntimeDefault" | ternary "runtime/default" "unconfined" }}
{{- end }}
{{- end }}

{{/* A list of the root and the names of containers that load programs. Before 1.30, annotations say it. */}}
{{- define "edgeloop.profileAnnotations" -}}
{{- $root := index . 0 -}}
{{ include "edgeloop.seccompAnnotation" $root }}
{{- with $root.Values.securityContext.appArmor }}
{{- if not (include "edgeloop.since" (list $root "1.30")) }}
{{- range rest $ }}
container.apparmor.security.beta.kubernetes.io/{{ . }}: {{ eq $root.Values.securityContext.appArmor "RuntimeDefault" | ternary "runtime/default" "unconfined" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "edgeloop.podSecurityContext" -}}
{{- if include "edgeloop.since" (list . "1.19") -}}
securityContext:
  seccompProfile:
    type: {{ .Values.securityContext.seccomp }}
{{- end }}
{{- end }}

{{/* Of a container that loads programs and writes maps. */}}
{{- define "edgeloop.agentSecurityContext" -}}
{{- with .Values.securityContext -}}
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsUser: 0
capabilities:
  drop: [ALL]
  add:
    - {{ .legacyCapabilities | ternary "SYS_ADMIN" "BPF" }}
    - NET_ADMIN
    {{- if .sysResource }}
    - SYS_RESOURCE
    {{- end }}
    {{- if and .perfmon (not .legacyCapabilities) }}
    - PERFMON
    {{- end }}
    {{- if and $.Values.endUdpSockets.inPods (not .legacyCapabilities) }}
    - SYS_ADMIN
    {{- end }}
{{- if and .appArmor (include "edgeloop.since" (list $ "1.30")) }}
appArmorProfile:
  type: {{ .appArmor }}
{{- end }}
{{- with .seLinux }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/*
What each command in an agent's container reads: `lb-agent status`, `check` and `plan` are asked there by people, and
`cleanup` takes the place of `run` before the chart goes. A variable may use those before it.
*/}}
{{- define "edgeloop.env" -}}
- name: EDGELOOP_NODE
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: EDGELOOP_PIN_ROOT
  value: {{ .Values.bpf.pinRoot | quote }}
{{- with include "edgeloop.apiServer" . }}
- name: EDGELOOP_API_SERVER
  value: {{ . | quote }}
{{- end }}
{{- if eq .Values.mode "replace" }}
{{- if not (include "edgeloop.apiServer" .) }}
{{- fail "mode: replace needs a real address of the API server, since nothing leads to a cluster IP before an agent runs: give distro or apiServer" }}
{{- end }}
- name: EDGELOOP_MODE
  value: replace
{{- end }}
{{- if .Values.cgroup.path }}
- name: EDGELOOP_CGROUP
  value: {{ .Values.cgroup.path | quote }}
{{- else if ne .Values.cgroup.hostRoot "/sys/fs/cgroup" }}
- name: EDGELOOP_CGROUP
  value: {{ .Values.cgroup.hostRoot | quote }}
{{- end }}
{{- with .Values.maxServices }}
- name: EDGELOOP_MAX_SERVICES
  value: {{ . | int64 | toString | quote }}
{{- end }}
{{- with .Values.maxBackends }}
- name: EDGELOOP_MAX_BACKENDS
  value: {{ . | int64 | toString | quote }}
{{- end }}
- name: EDGELOOP_LOG
  value: {{ .Values.logLevel | quote }}
{{- end }}

{{- define "edgeloop.volumeMounts" -}}
- name: bpf
  mountPath: {{ .Values.bpf.hostPath | quote }}
  mountPropagation: HostToContainer
- name: cgroup
  mountPath: {{ .Values.cgroup.hostRoot | quote }}
  mountPropagation: HostToContainer
  readOnly: true
# The socket that `lb-agent status` asks, and cgroup2 if the init container mounted it.
- name: run
  mountPath: /run/edgeloop
  mountPropagation: HostToContainer
{{- if .Values.savedState.enabled }}
- name: state
  mountPath: {{ .Values.savedState.hostPath | quote }}
{{- end }}
{{- end }}

{{- define "edgeloop.volumes" -}}
- name: bpf
  hostPath:
    path: {{ .Values.bpf.hostPath | quote }}
    type: DirectoryOrCreate
- name: cgroup
  hostPath:
    path: {{ .Values.cgroup.hostRoot | quote }}
    type: Directory
- name: run
  hostPath:
    path: /run/edgeloop
    type: DirectoryOrCreate
{{- if .Values.savedState.enabled }}
- name: state
  hostPath:
    path: {{ .Values.savedState.hostPath | quote }}
    type: DirectoryOrCreate
{{- end }}
{{- end }}
