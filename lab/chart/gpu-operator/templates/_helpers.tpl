{{- define "gpu-operator.labels" -}}
app.kubernetes.io/name: gpu-operator
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/component: gpu-operator
{{- end -}}

{{- define "gpu-operator.fullimage" -}}
{{- .Values.operator.repository }}/{{ .Values.operator.image }}:{{ .Values.operator.version | default .Chart.AppVersion -}}
{{- end -}}

{{- define "validator.fullimage" -}}
{{- .Values.validator.repository }}/{{ .Values.validator.image }}:{{ .Values.validator.version | default .Chart.AppVersion -}}
{{- end -}}
