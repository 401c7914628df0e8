"""Frequent words with a ligature, by which misspelt ones are known. Pure data."""

from __future__ import annotations

from typing import Final

__all__ = ["FREQUENT"]

_ENGLISH: Final = """
affairs affect affected affects affiliate affiliates affirm affirmed afford affordable artificial
beneficial benefit benefits briefly certificate certificates certified classification classified
coefficient coefficients confidence confidential configuration confirm confirmed conflict
conflicting conflicts deficiency deficit define defined definition differ difference differences
different differential differently difficult difficulties difficulty diffuse diffusion effect
effective effectively effectiveness effects efficiency efficient effluent effort efforts fiction
field fields fifth fifty fight figure figures file filed files filing fill filled final finally
finance finances financial financing find finding findings finds fine finish finished fire firm
firms first fiscal fish fit five fixed flag flat fleet flexibility flexible flight float floor flow
flows fluctuations fluid fly identification identified indefinite infinite infinity inflation
influence insufficient justified magnificent modification modified notification notified off offer
offered offering offers office officer officers offices official officially officials offline offset
offshore offspring profile profit profitable profits qualified refine reflect reflected reflects
satisfied scientific significance significant significantly sniff specific specifically
specification specifications specified staff stiff sufficient sufficiently suffix tariff tariffs
traffic unified verified waffle workflow action actions active activities activity additional
application applications articles attention communication competition competitive condition
conditions construction continue continued continuing corporation critical definition description
education effective entire entities entity existing function functions identity information
institution institutions international investigation legislation limitations located location
meeting meetings motion multiple national nation negative notice obligations operating operation
operational operations option options organization participants particular particularly partial
parties parting partners patient patients percentage policies political population position positive
practice production protection question questions quantities quantity ratio regulation regulations
relations relationship satisfaction section sections situation solution statistical testing time
times title traditional transaction transactions transition translation estimated estimates routine
sentiment certification attach attached attack attempt attend attended attract attribute battery
better bottom butter button committed committee getting letter letters little matter matters
patterns pretty putting quarterly settings setting settle settlement submitted shutter twitter
written cutting sitting after afternoon afterwards craft crafted draft drafted drift drifting
fifteen gift left lift loft often shift shifts soft software swift theft than that the their them
then there therefore these they thing things think third this those though three through thus
"""
_GERMAN: Final = """
abflug affäre angriff auffällig aufgriff auflage auflagen auflösung beeinflussen beeinflusst
beflügelt begriff begriffe beruflich berufliche beruflichen betreffen betreffend betrifft definieren
definiert definition differenz differenzen effekt effekte effektiv effizient effizienz einfluss
einflüsse empfiehlt empfinden empfindlich erfinden erfindung finanz finanzen finanziell finanzielle
finanziellen finanziert finanzierung finden findet finger firma firmen fisch fische fiskal flach
flasche fleisch fliegen fließen fließt flucht flughafen fluss fläche flächen flüchtlinge flüssig
flüssigkeit geflügel gepflegt geöffnet grafik griff griffe hoffen hoffentlich hoffnung hoffnungen
hofft häufig häufige häufigen häufiger häufigste häufigsten identifizieren identifiziert infiziert
kaffee klassifizierung koeffizient koffer konflikt konflikte löffel modifiziert offen offenbar
offene offenen offensichtlich offiziell offizielle offiziellen pfiff pflanze pflanzen pflege pflegen
pflicht pflichten profil profile profit qualifikation qualifiziert rohstoff rohstoffe schaffen
schafft schiff schiffe schifffahrt signifikant spezifisch spezifische spezifischen stoff stoffe
stoffen treffen trifft verpflegung verpflichtet verpflichtung verpflichtungen veröffentlicht
veröffentlichung waffe waffen zertifikat zertifiziert ziffer ziffern zufluss öffentlich öffentliche
öffentlichen öffentlichkeit öffnen öffnet öffnung überflüssig übertrifft
"""
_FRENCH: Final = """
affaire affaires affecte affiche afficher affirmation affirme bénéfice bénéfices bénéficiaire
bénéficier chiffre chiffres coefficient confiance confidentiel confier configuration confirme
confirmer conflit conflits difficile difficiles difficulté difficultés différence différences
différent différente différentes différents déficit définir définit définition définitions effectif
effectifs effectivement effectue effectuer effectué effectuée effet effets efficace efficacité
effort efforts enfin figure figures filiale filiales fille filles films final finale finalement
finance financement finances financier financiers financière financières finir fixer fixée flamme
fleur fleurs fleuve fluide identification identifier infini inflation influence insuffisant
justifier modification modifications modifier modifié offert office officiel officielle officier
officiers offre offres offrir profil profit profite profiter qualifié reflète réflexion réfléchir
scientifique scientifiques significatif signifie souffle souffrir spécification spécifique
spécifiques suffisamment suffisant suffit vérification vérifier
"""
_SPANISH: Final = """
afirma afirmar afirmó artificial beneficiarios beneficio beneficios calificación certificado
científica científico científicos clasificación coeficiente confianza confirmar confirmó conflicto
conflictos deficiencia define definición definido definir definitiva dificultad dificultades déficit
edificio edificios eficacia eficaz eficiencia eficiente especificaciones específica específicas
específico específicos figura figuras fijar filial filosofía final finales finalidad finalmente
financiación financiera financieras financiero financieros finanzas fines firma firmar flexible
flores flota fluido flujo flujos gráfico identificación identificar infinito inflación influencia
influencias justificación modificaciones modificación modificar notificación oficial oficiales
oficina oficinas perfil perfiles planificación reflejan reflejar reflexión significa significado
significativa significativo suficiente suficientes superficie tráfico verificación verificar
"""
_ITALIAN: Final = """
affari affatto afferma affermare affermazione affidamento affinché afflusso affrontare artificiale
beneficio certificato certificazione classificazione configurazione confini conflitto definire
definita definitiva definito definizione differente differenti differenza differenze difficile
difficili difficoltà diffusione edificio effetti effettivamente effettivo effetto effettuare
efficace efficacia efficienza fiducia figli figlia figlio figura figure filosofia finale finali
finalmente finanza finanziari finanziaria finanziarie finanziario finché finora firma fisica fisico
flussi flusso identificare identificazione infine inflazione influenza modifica modificare modifiche
notifica offerta offerte offre offrire profilo profitto qualificato riflessione scientifica
scientifico significa significativo significato soffrire specifica specifiche specifico sufficiente
superficie traffico uffici ufficiale ufficiali ufficio verifica verificare
"""
_PORTUGUESE: Final = """
afinal afirma afirmar afirmou artificial certificado científica científico classificação coeficiente
confiança confirmar conflito conflitos deficiência definido definir definição dificuldade
dificuldades eficaz eficiente eficiência específica específicas específico específicos ficar ficou
figura figuras filha filho filhos filme filosofia finais final finalidade finalmente financeira
financeiras financeiro financeiros financiamento fiscal flexível flores fluxo fluxos gráfico
identificar identificação inflação influência modificação modificações oficiais oficial oficina
perfil planificação profissionais profissional profissão reflexão significa significado
significativa significativo suficiente tráfico verificar verificação
"""
_DUTCH: Final = """
affaire betreffen betreffende certificaat classificatie conflict conflicten definitie definitief
effect effecten effectief efficiënt fiets fietsen figuur films financieel financiering financiële
financiën firma fiscale flexibel flink fluit grafiek heffing heffingen identificatie inflatie koffer
koffie modificatie offer offerte officieel officier officieren officiële profiel profielen
profiteren reflectie significant specificatie specifiek specifieke stoffen treffen verificatie
verschaffen
"""
FREQUENT: Final = frozenset(
    f"{_ENGLISH}{_GERMAN}{_FRENCH}{_SPANISH}{_ITALIAN}{_PORTUGUESE}{_DUTCH}".casefold().split()
)
"""English words with fi, fl, ff, ffi, ffl, ti, tt, tti, ft or Th, and words of six more languages
with one of the first five. Those of fewer than five letters are too short: "(n" is not "fin"."""
