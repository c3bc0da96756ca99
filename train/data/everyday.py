"""Plain words that our stories may not use but a reader's prompt may: the tokenizer is to know them whole."""

WORDS = """
able above accident across act add adult adventure afraid again against age ago agree air airplane alarm alien alive
allow almost alone already also although always amazing ambulance angel angry animal ankle another answer anybody
anyone anything anyway apart apartment appear apron arm army around arrive art ask astronaut aunt autumn awake award
awful baby backyard backward bad bake balance ballet bandage bank bar bare bark base baseball basketball bat bath bathe
beak beard beast beat beautiful beauty become beetle began begin behave behind believe belong below bench bend beneath
beside best better between beyond bicycle birth birthday bite bitter blame blind blow blind board body bone boring
born borrow boss bother bottle bottom bounce bow bowl brain branch brave break breakfast breathe breeze brick bride
bridge bright bring broken brother brush bubble build building bull bump bunny burn burst bus bush business butter
buy buzz cabin cage calf call calm camera camp candy captain card care careful carpet carriage carrot carry cartoon
cart castle catch caterpillar cave ceiling celebrate center cereal chain chance change chase cheap cheek cheer cheese
cherish chew chief child childhood children chimney chin chocolate choice choose chop circle circus city clap class
classroom claw clay clean clear clerk clever cliff climb cloth clothes cloud clown club coach coal coast cobweb coffee
cold collar collect comb come comfort common company complain computer cool copy corn corner correct cost cottage
cotton cough could count country couple courage course cousin cover cowboy crab crack cradle crash crawl crayon cream
creature creep cricket crocodile crop cross crowd crumb crust cry cuddle cupboard cure curl curtain curve cushion cut
cute dad daddy daily damp dance danger dangerous dare dark date daughter dawn deaf dear decide deep delicious dentist
describe desk dessert different difficult dig dinner dinosaur dirt disappear discover dish distance dive dizzy dolphin
done double dough down dozen dragonfly drag drain drank draw dream dress drift drink drip drive driver drop drove dry
during dust duty dwarf each eagle early earn earth earthquake easily east easy eat echo edge eel effort eight either
elbow electric elf else empty end enemy engine enjoy enormous enough enter entire equal escape even evening event ever
every everybody everyone everything everywhere evil exact example excellent except excited exciting excuse expect
expensive explain explode explore extra eye face factory fail faint fair fairy faith fall false familiar famous far
fasten father fault favor favorite fear feast feed feel feet fellow fence fetch fever few field fierce fight figure
fill film final find fine finger finish fire firefly firm first fit fix flag flame flap flash flat flavor fleet flew
flight flip float flood floor flour fly foam fold follow food fool foolish foot football force forest forever forget
forgive forgot fork form fortune forward found four frame free freeze fresh friend friendship fright frighten front
frost frown frozen fruit fun funny fur furniture further future gallop game garage gasp gather gave generous gentle
geese genius gift giggle gingerbread girl give glad glass globe glove glow glue goal gold gone goodbye goodnight gown
grab graceful grain grand grandchild grass grasshopper gravity great greedy greet grew grin grocery groom ground group
grow grown growl guard guess guest guide guitar gym habit hair half hall halloween hamburger hammock hand handle
handsome hang happen happiness harbor hard hardly harm harvest haste hatch haunted hawk head healthy hear heart heat
heaven heavy heel height helicopter hello helmet help hero herself hide high himself hippo history hit hobby hockey
hole holiday hollow home homework honest hop hope hospital host hotel hour howl hug huge human hundred hung hunger
hunt hurry hurt husband hut ice icicle idea ill imagine important inch indeed indoors insect inside instead interest
invent invisible invite iron island itch itself jacket jam jar jaw jealous jelly jellyfish jewel job join joke journey
joy judge juice jump jungle junk just kangaroo keep kept ketchup kettle kick kidding kind kindergarten kindness kingdom
kiss knee kneel knew knife knight knit knock knot know koala lace ladder lady laid lamb land language lantern lap large
last late later laugh laughter laundry law lawn lay lead leader leaf leak lean leap learn least leather leave led left
leg lemonade lend leopard less lesson let library lick lid lie life lift lighthouse lightning like line lip liquid
list listen litter live lizard load lobster lock lonely long look loose lost lot love lovely low loyal luck lucky
lunch machine mad magic magician magnet mail main make man manner many march mark marry marvelous match math matter
maybe meal mean measure meat medicine meet melt member memory mend mermaid merry mess message metal meteor middle
midnight might mighty mile milk million mind mine minute miracle miss mistake mitten mix mom moment money monster month
mood moose more morning mosquito most moth mother motor mountain mouth move movie much mud muddy mule muscle museum
music must mustache mystery myself nail name nap narrow nation nature naughty near nearly neat neck need needle
neighbor neither nephew nervous never news newspaper next nibble nice niece nightmare nobody nod noise noisy none
noodle noon normal north note nothing notice number nurse oar oatmeal obey object ocean octopus odd offer office often
oil once only onion onto open opposite orbit order ordinary ostrich other ought ours ourselves outside oven owe own
owner ox oyster pack page pain paint pair pajamas palace pale palm pan panda pants paper parade pardon parent park
part party pass past paste pasture pat path patient pattern paw pay peace peach peacock peanut peck peel pen people
pepper perfect perhaps period person pet phone photo piano pick picnic piece pigeon pile pillow pilot pinch pine pipe
pirate pizza plain plan planet plant plastic plate play player please plenty plow plum pocket poem point poison polar
pole police polite pony pool poor popcorn porch porridge possible post potato pour powder power practice praise pray
prepare present president pretend pretty price pride prize probably problem promise protect proud prove pull pumpkin
punish pupil pure purple purse push puzzle quarrel quarter question quick quickly quit quite rabbit raccoon radio raft
rage rail railroad rainbow raincoat raise ran ranch rare rather raven raw reach ready real really reason receive
recess recipe record relax remember remind repeat reply rescue rest restaurant return reward ribbon rice rich riddle
ride right rip ripe rise river road roar roast rob rock rocket roll roof room rooster root rope rough round row royal
rub rubber rude ruin rule ruler run rush sad saddle safe said sail salad sale salt same sand sandwich sang sat satin
sauce sausage save saw say scale scare scared scarecrow scary school science scissors scold scooter score scratch
scream sea seal search season seat second secret see seed seem seen seesaw selfish sell send sense sent serious serve
set seven several sew shade shadow shake shall shape share shark sharp shave sheet shelf shine shiny ship shirt shock
shook shop shore short should shoulder shout shovel show shower shut shy sick side sight sign silence silent silk since
sing single sink sip sit six size skeleton ski skin skip skirt skunk sky sleepy sleeve sleigh slept slice slid slide
slip slipper slippery slow smart smell smile smoke smooth snack snake sneak sneeze sniff snore snowflake soap soccer
society soft soil sold soldier solve some somebody someone something sometimes somewhere son soon sore sorrow sort soul
sound soup south space spaceship spark sparkle sparrow speak special speech speed spend spider spill spin spirit splash
split spoil spoke spooky sport spot spread spring sprinkle square squeak squeeze stable stage stairs stamp stand stare
start station statue stay steak steal steam steep stem step stick sticky still sting stir stocking stomach stood stool
store storm stormy story stove straight strange stranger straw stream street stretch string stripe strong student study
stuff subject submarine such sudden suddenly sugar suit suitcase summer sunlight sunrise sunset sunshine supper
suppose sure surface surprise surround swallow swamp swan sweat sweep swim swing sword table tadpole tail take tale
talent talk tame tape taste taught taxi teach team tear tease teeth telephone telescope television tell temper tennis
tent terrible test thank thankful their them themselves thief thing think third thirsty thirty thorn those thought
thousand thread three threw throat throne through throw thumb thunder ticket tickle tidy tie tiger tight time tiny tip
tired title toad toast today toe together tomato tomorrow tongue tonight took tool tooth toothbrush torch tore total
touch tough toward towel tower town track tractor trade traffic trail train travel treasure treat tree triangle trick
tricycle trip trouble trousers truck true trumpet trunk trust truth try tub tube tug tulip tunnel turkey turn twelve
twenty twice twin twinkle twist type ugly umbrella uncle understand underwater unhappy unicorn uniform until upon
upset upstairs use useful usual usually vacation valley valuable van vanish vegetable vehicle very vest village violin
visit visitor voice volcano vote wagon waist wait wake walk wall walrus wander want war warm warn wash wasp waste watch
water waterfall wave wax way weak wealth wear weather weave web wedding week weekend weigh weight welcome west wet
whale wheat wheel wheelbarrow while whisker whisper whistle whole whose wide wild will win wind window wing winner
winter wipe wire wise wish without woke wolf woman women won wonder wonderful wood wooden woods wool word wore work
worker world worm worry worse worst worth would wrap wreath wrinkle write wrong wrote yard yarn yawn year yell
yesterday yet yogurt young yourself zebra zipper zoo
""".split()
