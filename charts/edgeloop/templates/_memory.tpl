{{/*
Maps are charged to the agent's memory cgroup, so its limit has to have room for them. Where their size goes by need, the
numbers are for 10,000 service ports with 100,000 endpoints, for which the agent makes maps of 16,384 and 262,144.
*/}}

{{/*
Bytes of full maps. A service port takes an element of services6 (more than one of services4) and one of names, which
kernels from 6.1 on allocate as 256 and 512 bytes, and one or two buckets of 16 in three maps. A backend takes 16 over
IPv4; where their number is given, both families have room for it, with 32 over IPv6. Programs and all else: 4 MiB.
*/}}
{{- define "edgeloop.mapBytes" -}}
{{- $services := .Values.maxServices | int64 | default 16384 }}
{{- $backends := .Values.maxBackends | int64 | default 262144 }}
{{- $bytes := ternary 48 16 (gt (.Values.maxBackends | int64) 0) }}
{{- add (mul $services 864) (mul $backends $bytes) 4194304 }}
{{- end }}

{{/* Bytes of the agent at its peak: what it starts with, and what it knows of each service port and each endpoint. */}}
{{- define "edgeloop.ownBytes" -}}
{{- $services := .Values.maxServices | int64 | default 10000 }}
{{- $endpoints := .Values.maxBackends | int64 | default 100000 }}
{{- add 25165824 (mul $services 3072) (mul $endpoints 128) }}
{{- end }}

{{/*
Limit: the agent at its peak, and two sets of full maps, since one takes the other's place when they grow or their
layout changes. Request: what a small cluster takes, and a quarter of a set.
*/}}
{{- define "edgeloop.resources" -}}
{{- if .Values.resources }}
{{- toYaml .Values.resources }}
{{- else }}
{{- $maps := include "edgeloop.mapBytes" . | int64 }}
{{- $own := include "edgeloop.ownBytes" . | int64 -}}
requests:
  cpu: 10m
  memory: {{ div (add 25165824 (div $maps 4)) 1048576 }}Mi
limits:
  memory: {{ div (add $own $maps $maps 1048575) 1048576 }}Mi
{{- end }}
{{- end }}
