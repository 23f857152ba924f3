{{- define "node-feature-discovery.fullname" -}}
{{ .Release.Name }}-node-feature-discovery
{{- end -}}

{{- define "node-feature-discovery.labels" -}}
{{ include "node-feature-discovery.selectorLabels" . }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "node-feature-discovery.selectorLabels" -}}
app.kubernetes.io/name: node-feature-discovery
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "node-feature-discovery.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
